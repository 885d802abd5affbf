"""What the HTTP API takes and answers: one module per subject. Answers are plain dataclasses, requests pydantic models."""
