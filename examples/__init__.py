"""Complete applications, and the snippets that the documents quote."""
