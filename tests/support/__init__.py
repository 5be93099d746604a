"""What tests share: clusters, images and test data."""
