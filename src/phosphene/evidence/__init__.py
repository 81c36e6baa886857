"""Evidence beside every picture: measures of finished maps, one file each in `measures`."""
