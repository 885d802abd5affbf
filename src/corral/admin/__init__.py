"""The write model: whatever people change goes through here, and leaves one entry in the audit log each."""
