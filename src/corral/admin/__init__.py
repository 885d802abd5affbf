"""The write model: whatever people change goes through here, and leaves one entry in the audit log each."""

from corral.admin.admin import Admin as Admin
from corral.admin.admin import Desk as Desk
from corral.admin.objects import Actor as Actor
