"""Small applications that the tests start."""
