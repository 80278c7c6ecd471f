"""The PostgreSQL backend: any number of processes on one database."""
