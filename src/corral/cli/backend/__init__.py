"""What commands ask for, and who answers: a store that is opened here, or an HTTP API somewhere else."""
