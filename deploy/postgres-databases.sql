-- One server, two databases: what is owed, and what Dagster remembers.
CREATE DATABASE ledger OWNER clips;
CREATE DATABASE dagster OWNER clips;
