"""What the HTTP API takes and answers, a module per subject: answers are dataclasses, requests pydantic models."""
