"""The status server that training pods post to."""
