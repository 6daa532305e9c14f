# How steps are run: the only file that knows the machine or the cluster.
train_cmd="$utils/run.sh"
# The training: processes on this machine, all started again from the last checkpoint when one of them dies.
# On GPUs, as many as there are.
nodes_cmd=$train_cmd
torchrun="torchrun --standalone --nproc-per-node 2 --max-restarts 3 -m"

# On a cluster with Slurm, the training on four nodes by 16 processes each:
# train_cmd="$utils/slurm.sh --cpus-per-task=16 --mem=32G --"
# nodes_cmd="$utils/slurm.sh --nodes=4 --ntasks-per-node=1 --cpus-per-task=16 --mem=64G --"
# torchrun="$utils/slurm_torchrun.sh --nproc-per-node 16 --max-restarts 3 -m"
#
# On a Grid Engine, whose machines do not train together:
# train_cmd="$utils/queue.sh -pe smp 16 -l h_vmem=4G --"
