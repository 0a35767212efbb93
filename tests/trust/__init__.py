"""What hostile files, full disks and killed processes must not do; one function per promise."""
