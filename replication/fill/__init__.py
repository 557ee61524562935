"""From printed accuracies to filled cells by published weights."""
