"""The audit of public implementations: its table, its readings, its reproductions, its stored rows."""
