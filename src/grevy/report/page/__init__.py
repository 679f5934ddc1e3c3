"""`report.html`: one archived run on one page that opens offline, by itself."""
