"""What happens when things break: killed processes, cut power, full disks, blocked loops, damaged files."""
