"""What a configuration asks for, as the workflow needs it: outputs, options of commands, digests. Torch-free."""
