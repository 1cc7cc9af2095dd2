"""What `rlhf` can do, a file per family of commands. A command checks its usage, calls the code that works, and says
what came of it; nothing else belongs here."""
