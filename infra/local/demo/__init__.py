"""`make demo`: real calls, a killed job, a rollover; then what was promised beside what the kernel counted."""
