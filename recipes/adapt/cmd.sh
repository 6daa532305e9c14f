# How a step is run: the only file that knows the machine. On a cluster, for instance:
# train_cmd="$utils/slurm.sh --cpus-per-task=4 --mem=8G --"
# train_cmd="$utils/queue.sh -pe smp 4 -l h_vmem=8G --"
train_cmd="$utils/run.sh"
