"""Search spaces, one readable file each; copy one and edit it to make your own."""
