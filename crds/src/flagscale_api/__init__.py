"""The FlagScale API: resource models, CRD generation and the files that pods read."""
