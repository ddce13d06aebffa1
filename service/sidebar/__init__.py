"""The sidebar's page: what it opens with, the same page in a window of its own, and the files both are made of."""
