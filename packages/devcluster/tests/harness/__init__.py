"""What the tests of devcluster share."""
