"""The Redis engine: BullMQ's own layout, one Lua script per verb."""
