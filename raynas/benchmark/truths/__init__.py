"""True accuracies of networks, read from files of three formats that their content tells apart."""
