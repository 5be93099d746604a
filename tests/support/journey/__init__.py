"""The whole way on one machine, typed by a program as a person would type it."""
