"""The command line: one program, a subcommand per process and per job."""
