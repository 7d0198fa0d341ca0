"""Parts of reports: pages that need nothing else, and tables that several of them have."""
