"""Ready-made handlers: families of jobs that an application takes in with `app.include`."""
