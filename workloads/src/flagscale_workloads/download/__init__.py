"""Downloading a model before it is served: safe files only, resumed, whole or not at all."""
