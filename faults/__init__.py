"""What must not happen on a Sunday night, made to happen: `python -m faults.NAME` prints a table and exits 1 on red.

recording      harms to what is written back to rlhf_training_runs
launch_paths   every way to launch a training, and every way that it ends
kills          SIGKILL in every stage
resources      a full disk, too little memory, a database that is gone
"""
