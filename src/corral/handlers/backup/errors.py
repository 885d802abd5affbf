"""What can go wrong with a backup."""

from corral.errors import CorralError


class BackupError(CorralError):
    """A backup could not be made, or is not what it was. Another attempt may help."""
