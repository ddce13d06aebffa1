"""Programs for whoever works on the project; run as files, and some parts imported by tests."""
