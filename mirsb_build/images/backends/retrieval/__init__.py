"""The backend `retrieval`: pictures out of the user's own collection, found by word and by meaning."""
