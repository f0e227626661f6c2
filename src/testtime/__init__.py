"""A laboratory for test-time compute."""
