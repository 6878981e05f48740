"""Every option of training: its name, type, default, range and meaning, one dataclass a concern.

The keys are flat and those of TorchMD-NET; this module is the only place that knows them. YAML files, the command line
and checkpoints are all read against it.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "OPTION_GROUPS",
    "DataConfig",
    "LoggingConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizationConfig",
    "RunConfig",
]

Names = str | list[str]
TrainLoss = Literal["mse_loss", "l1_loss", "huber_loss"]


def option(
    default: Any,
    text: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> Any:
    """A field with its help text and the range of its value."""
    limits = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    metadata = {"help": text} | {name: value for name, value in limits.items() if value is not None}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Run and hardware"""

    conf: str | None = option(None, "YAML file with any of these options; the command line wins over it")
    load_model: str | None = option(None, "checkpoint to resume from; its options are taken over unless given anew")
    reset_trainer: bool = option(False, "with load_model: take the weights only and start training afresh")
    load_weights: str | None = option(None, "checkpoint whose weights a new model starts from")
    compatibility_load: bool | None = option(
        None, "whether TensorNet's weights in a checkpoint of TorchMD-NET have the order of before 3.0; none: found out"
    )
    log_dir: str = option("logs/", "folder of everything a run writes; made if missing")
    seed: int = option(1, "seed of initial weights, split and data order", at_least=0)
    redirect: bool = option(False, "also write what is printed to log_dir/log")
    accelerator: Literal["auto", "cpu", "gpu"] = option("auto", "what to run on")
    ngpus: int = option(-1, "processes a node, one a GPU; -1: all GPUs, or one process on the CPU", at_least=-1)
    num_nodes: int = option(1, "machines; set NODE_RANK, MASTER_ADDR and MASTER_PORT on each", at_least=1)
    precision: Literal[16, 32, 64, "16-mixed", "bf16-mixed"] = option(32, "bits of a number; 16 means 16-mixed")
    max_time: str | None = option(None, "stop cleanly after DD:HH:MM:SS")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Data"""

    dataset: str | None = option(None, "class of the data set")
    dataset_root: Names = option("~/data", "file(s), glob(s) or folder of the data set; several separated by ';'")
    val_dataset_root: Names | None = option(None, "separate files of validation frames, of the same class")
    test_dataset_root: Names | None = option(None, "separate files of test frames, of the same class")
    dataset_arg: dict[str, Any] | None = option(None, "further arguments of the data set class")
    dataset_preload_limit: int = option(1024, "for Custom and HDF5: accepted, not needed (data are memory-mapped)")
    coord_files: Names | None = option(None, "for Custom: glob of positions (n, atoms, 3)")
    embed_files: Names | None = option(None, "for Custom: glob of atomic numbers (atoms,)")
    energy_files: Names | None = option(None, "for Custom: glob of energies (n, 1)")
    force_files: Names | None = option(None, "for Custom: glob of forces (n, atoms, 3)")
    splits: str | None = option(None, "npz with idx_train, idx_val and idx_test to use again")
    train_size: int | float | None = option(None, "frames (integer) or fraction; none: the rest", at_least=0)
    val_size: int | float | None = option(0.05, "frames (integer) or fraction; none: the rest", at_least=0)
    test_size: int | float | None = option(0.1, "frames (integer) or fraction; none: the rest", at_least=0)
    batch_size: int = option(32, "systems in a training batch, per process", at_least=1)
    inference_batch_size: int | None = option(
        None, "systems in a validation or test batch; none: batch_size", at_least=1
    )
    num_workers: int = option(0, "processes that load data; 0 loads in the training process", at_least=0)
    standardize: bool = option(False, "scale the model by mean and deviation of the training energies")
    remove_ref_energy: bool = option(False, "train on energies less the reference energies of the atoms")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Model"""

    model: str = option("graph-network", "representation")
    output_model: str = option("Scalar", "output head")
    output_mlp_num_layers: int = option(0, "further hidden layers of the head, where it has them", at_least=0)
    prior_model: str | dict[str, Any] | list[str | dict[str, Any]] | None = option(
        None, "prior, {prior: arguments} or a list of these; a dotted path names a class of your own"
    )
    derivative: bool = option(False, "predict forces too")
    charge: bool = option(False, "give the model the total charge of each system")
    spin: bool = option(False, "give the model the spin of each system")
    embedding_dimension: int = option(256, "channels", at_least=1)
    num_layers: int = option(6, "interaction layers", at_least=0)
    num_rbf: int = option(64, "radial functions", at_least=2)
    activation: str = option("silu", "activation function")
    rbf_type: Literal["gauss", "expnorm"] = option("expnorm", "radial functions")
    trainable_rbf: bool = option(False, "train the radial functions")
    neighbor_embedding: bool = option(False, "embed neighbours; graph-network and the transformers")
    aggr: Literal["add", "mean", "max"] = option("add", "sum over neighbours; graph-network")
    distance_influence: Literal["keys", "values", "both", "none"] = option(
        "both", "where distances enter; the transformers"
    )
    attn_activation: str = option("silu", "activation of the attention; the transformers")
    num_heads: int = option(8, "attention heads, a divisor of embedding_dimension; the transformers", at_least=1)
    vector_cutoff: bool | None = option(
        None, "equivariant-transformer: fade vectors too at the cutoff; none: true for new models, false for old files"
    )
    equivariance_invariance_group: Literal["O(3)", "SO(3)"] = option("O(3)", "symmetry group; tensornet")
    so3_convention: Literal["2.x", "3.x"] = option(
        "2.x", "release of TorchMD-NET whose SO(3) model this is: they are mirror images; tensornet"
    )
    box_vecs: list[list[float]] | None = option(None, "cell vectors a, b, c as rows, used when a call brings none")
    static_shapes: bool = option(False, "accepted; at serving, load_model(static_shapes=True) fixes the size of lists")
    cutoff_lower: float = option(0.0, "shortest distance of a pair", at_least=0)
    cutoff_upper: float = option(5.0, "longest distance of a pair", above=0)
    atom_filter: int = option(-1, "leave out atoms with z <= this; not with derivative")
    max_z: int = option(100, "one more than the largest atomic number", at_least=1)
    max_num_neighbors: int = option(32, "accepted, not needed: neighbour lists have no limit", at_least=0)
    reduce_op: Literal["add", "sum", "mean", "atom_mean"] = option(
        "add", "how atoms add up to a system; mean divides by their number + 1, atom_mean by their number"
    )
    repulsion: bool = option(False, "add screened nuclear repulsion to the energy; tensornet2")
    q_dim: int = option(0, "charges predicted per atom; tensornet2", at_least=0)
    q_weights: list[float | list[float]] | None = option(None, "weights of the charges; ScalarPlusWeightedCoulomb")
    coulomb_cutoff: float | None = option(None, "cutoff of the Coulomb term; ScalarPlusWeightedCoulomb", above=0)
    coulomb_max_num_neighbors: int | None = option(None, "accepted, not needed: neighbour lists have no limit")
    coulomb_neighbor_strategy: str = option("brute", "accepted, not needed: the neighbour list chooses itself")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Loss"""

    train_loss: TrainLoss = option("mse_loss", "loss function")
    train_loss_arg: dict[str, Any] | None = option(None, "arguments of the loss function, such as {delta: 0.1}")
    y_weight: float = option(1.0, "weight of the energies", at_least=0)
    neg_dy_weight: float = option(1.0, "weight of the forces", at_least=0)
    stress_weight: float = option(0.0, "weight of the stress", at_least=0)
    ema_alpha_y: float = option(1.0, "smoothing of the energy loss in the log and gradient", above=0, at_most=1)
    ema_alpha_neg_dy: float = option(1.0, "smoothing of the force loss in the log and gradient", above=0, at_most=1)


@dataclass(frozen=True, kw_only=True)
class OptimizationConfig:
    """Optimisation"""

    num_epochs: int = option(300, "passes over the training frames", at_least=1)
    lr: float = option(1e-4, "learning rate of AdamW", above=0)
    lr_scheduler: Literal["plateau", "cosine", "constant"] = option(
        "plateau", "plateau: times lr_factor after lr_patience epochs without gain; cosine: down to lr_min at the end"
    )
    lr_patience: int = option(10, "epochs without gain before the rate falls", at_least=0)
    lr_metric: Literal["train", "val"] = option("val", "loss that the schedule watches")
    lr_min: float = option(1e-6, "lowest learning rate", at_least=0)
    lr_factor: float = option(0.8, "factor of the fall", above=0, below=1)
    lr_warmup_steps: int = option(0, "steps over which the rate rises from zero", at_least=0)
    early_stopping_patience: int = option(30, "epochs without gain before training stops", at_least=0)
    early_stopping_monitor: str | None = option("auto", "metric that stops; auto: the validation loss; none: never")
    checkpoint_monitor: str | None = option("auto", "metric of the best checkpoint; auto: the validation loss")
    weight_decay: float = option(0.0, "weight decay of AdamW", at_least=0)
    gradient_clipping: float = option(0.0, "largest norm of the gradient; 0: any", at_least=0)
    ema_decay: float | None = option(
        None, "decay of a running average of the weights, used for validation and kept; none: off", above=0, below=1
    )


@dataclass(frozen=True, kw_only=True)
class LoggingConfig:
    """Checkpoints and logs"""

    save_interval: int = option(10, "epochs between checkpoints", at_least=1)
    test_interval: int = option(-1, "epochs between evaluations of the test set; -1: at the end only", at_least=-1)
    tensorboard_use: bool = option(False, "log to TensorBoard in log_dir/tensorboard")
    wandb_use: bool = option(False, "log to Weights & Biases")
    wandb_name: str = option("training", "name of the run")
    wandb_project: str = option("training_", "name of the project")
    wandb_resume_from_id: str | None = option(None, "run to go on with")


OPTION_GROUPS: tuple[type, ...] = (RunConfig, DataConfig, ModelConfig, LossConfig, OptimizationConfig, LoggingConfig)
