"""What every long-running program needs: clock, ids, logs, locks, waits, files, and a watch on itself."""
