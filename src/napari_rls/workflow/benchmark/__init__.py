"""RLS and its rivals on the same cells, into tables and a report."""
