# How a step is run: the only file that knows the machine. On a cluster with Slurm, for instance:
# train_cmd="srun --cpus-per-task 4 $utils/run.sh"
train_cmd="$utils/run.sh"
