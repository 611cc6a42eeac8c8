"""Pages made from report.json alone."""
