"""What the ready-made handlers share: the way out to other servers, the application's database, settings, mail."""
