"""Where each of Lightning's public names lives here: one table, read from old to new.

A tree maps an old module, seen from its package, to the modules of ours that answer for its names. A name may be
listed before Fulgurite has it: looking it up then says so.
"""

Names = dict[str, str]  # module of ours -> names, separated by blanks

CORE: Names = {"fulgurite": "Callback LightningDataModule LightningModule Trainer seed_everything"}

CALLBACKS = {
    "batch_size_finder": "BatchSizeFinder",
    "callback": "Callback",
    "checkpoint": "Checkpoint",
    "device_stats_monitor": "DeviceStatsMonitor",
    "early_stopping": "EarlyStopping",
    "finetuning": "BackboneFinetuning BaseFinetuning",
    "gradient_accumulation_scheduler": "GradientAccumulationScheduler",
    "lambda_function": "LambdaCallback",
    "log_predictions": "LogPredictions",
    "lr_finder": "LearningRateFinder",
    "lr_monitor": "LearningRateMonitor",
    "model_checkpoint": "ModelCheckpoint",
    "model_summary": "ModelSummary",
    "loader_timeout": "LoaderTimeout",
    "non_finite_guard": "NonFiniteGuard",
    "on_exception_checkpoint": "OnExceptionCheckpoint",
    "prediction_writer": "BasePredictionWriter",
    "progress": "ProgressBar RichProgressBar TQDMProgressBar",
    "progress.progress_bar": "ProgressBar",
    "progress.rich_progress": "RichProgressBar",
    "progress.tqdm_progress": "TQDMProgressBar",
    "pruning": "ModelPruning",
    "rich_model_summary": "RichModelSummary",
    "spike": "SpikeDetection",
    "stochastic_weight_avg": "StochasticWeightAveraging",
    "throughput_monitor": "ThroughputMonitor",
    "timer": "Timer",
    "weight_averaging": "EMAWeightAveraging WeightAveraging",
}
LOGGERS = {
    "comet": "CometLogger",
    "csv_logs": "CSVLogger",
    "logger": "DummyLogger Logger",
    "mlflow": "MLFlowLogger",
    "tensorboard": "TensorBoardLogger",
    "track": "TrackLogger",
    "wandb": "WandbLogger",
}
STRATEGIES = {
    "ddp": "DDPStrategy",
    "deepspeed": "DeepSpeedStrategy",
    "fsdp": "FSDPStrategy",
    "model_parallel": "ModelParallelStrategy",
    "parallel": "ParallelStrategy",
    "single_device": "SingleDeviceStrategy",
    "strategy": "Strategy",
}
PRECISION = {
    "amp": "MixedPrecision",
    "double": "DoublePrecision",
    "fsdp": "FSDPPrecision",
    "half": "HalfPrecision",
    "precision": "Precision",
}
PROFILERS = {
    "advanced": "AdvancedProfiler",
    "base": "PassThroughProfiler",
    "profiler": "Profiler",
    "pytorch": "PyTorchProfiler",
    "simple": "SimpleProfiler",
}

RANK_ZERO: Names = {
    "fulgurite.base.rank": "rank_zero_debug rank_zero_deprecation rank_zero_info rank_zero_only rank_zero_warn"
}
SEED: Names = {"fulgurite.base.seed": "isolate_rng pl_worker_init_function seed_everything"}
ERRORS: Names = {"fulgurite.base.errors": "MisconfigurationException SIGTERMException"}
TYPES: Names = {
    "fulgurite.runtime.optim": "LRSchedulerConfig",
    "fulgurite.compat.types": "EVAL_DATALOADERS LRSchedulerConfigType LRSchedulerPLType LRSchedulerTypeUnion "
    "OptimizerConfig OptimizerLRScheduler OptimizerLRSchedulerConfig STEP_OUTPUT TRAIN_DATALOADERS",
}
SUMMARY: Names = {
    "fulgurite.core.summary": "LayerSummary ModelSummary get_formatted_model_size get_human_readable_count summarize"
}
UTILITIES: Names = {
    "fulgurite.base.rank": "rank_zero_deprecation rank_zero_info rank_zero_only rank_zero_warn",
    "fulgurite.base.tree": "move_data_to_device",
    "fulgurite.core.hparams": "AttributeDict",
    "fulgurite.runtime.combined": "CombinedLoader",
    "fulgurite.compat.utilities": "GradClipAlgorithmType LightningEnum disable_possible_user_warnings "
    "find_shared_parameters grad_norm is_picklable is_shared_filesystem set_shared_parameters "
    "suggested_max_num_workers",
}

ENVIRONMENTS: Names = {
    "fulgurite.plugins.environments": "ClusterEnvironment KubeflowEnvironment LSFEnvironment LightningEnvironment "
    "MPIEnvironment SLURMEnvironment TorchElasticEnvironment"
}


def _package(folder: str, door: str, files: dict[str, str]) -> dict[str, Names]:
    """One old package whose files all answer through ``door``, our package of the same name."""
    names = sorted({name for listed in files.values() for name in listed.split()})
    inside = {f"{folder}.{file}": {door: listed} for file, listed in files.items()}
    return {folder: {door: " ".join(names)}} | inside


PYTORCH: dict[str, Names] = {
    "": CORE,
    **_package("callbacks", "fulgurite.callbacks", CALLBACKS),
    **_package("loggers", "fulgurite.loggers", LOGGERS),
    "loggers.logger": {"fulgurite.core.logger": "DummyLogger Logger merge_dicts rank_zero_experiment"},
    **_package("strategies", "fulgurite.strategies", STRATEGIES),
    **_package("profilers", "fulgurite.profilers", PROFILERS),
    **_package("plugins.precision", "fulgurite.precision", PRECISION),
    "callbacks.progress.progress_bar": {
        "fulgurite.callbacks": "ProgressBar",
        "fulgurite.callbacks.progress.base": "get_standard_metrics",
    },
    "callbacks.progress.rich_progress": {
        "fulgurite.callbacks": "RichProgressBar",
        "fulgurite.callbacks.progress.rich": "RichProgressBarTheme",
    },
    "callbacks.early_stopping": {
        "fulgurite.callbacks": "EarlyStopping",
        "fulgurite.callbacks.early_stopping": "EarlyStoppingReason",
    },
    "callbacks.throughput_monitor": {
        "fulgurite.callbacks": "ThroughputMonitor",
        "fulgurite.callbacks.throughput_monitor": "Throughput",
    },
    "callbacks.timer": {"fulgurite.callbacks": "Timer", "fulgurite.callbacks.timer": "Interval"},
    "plugins": {
        "fulgurite.precision": " ".join(PRECISION.values()),
        "fulgurite.plugins": "AsyncCheckpointIO CheckpointIO LayerSync TorchCheckpointIO TorchSyncBatchNorm",
    },
    "plugins.environments": ENVIRONMENTS,
    "plugins.io": {"fulgurite.plugins": "AsyncCheckpointIO CheckpointIO TorchCheckpointIO"},
    "accelerators": {
        "fulgurite.accelerators": "Accelerator CPUAccelerator CUDAAccelerator MPSAccelerator find_usable_cuda_devices"
    },
    "cli": {
        "fulgurite.cli": "LightningArgumentParser LightningCLI ReduceLROnPlateau SaveConfigCallback instantiate_class"
    },
    "core": {"fulgurite": "LightningDataModule LightningModule"},
    "core.datamodule": {"fulgurite": "LightningDataModule"},
    "core.hooks": {"fulgurite.core.hooks": "DataHooks", "fulgurite.core.module_hooks": "ModelHooks"},
    "core.mixins": {"fulgurite.core.hparams": "HyperparametersMixin"},
    "core.mixins.hparams_mixin": {"fulgurite.core.hparams": "HyperparametersMixin"},
    "core.module": {"fulgurite": "LightningModule"},
    "core.optimizer": {"fulgurite.runtime.optim": "LightningOptimizer"},
    "demos": {"fulgurite.testing": "BoringDataModule BoringModel DemoModel"},
    "demos.boring_classes": {
        "fulgurite.testing": "BoringDataModule BoringModel DemoModel ManualOptimBoringModel RandomDataset "
        "RandomIterableDataset"
    },
    "loops": {"fulgurite.loops": ""},
    "overrides": {"fulgurite.strategies": ""},
    "serve": {"fulgurite.serve": "ServableModule ServableModuleValidator"},
    "trainer": {"fulgurite": "Trainer seed_everything"},
    "trainer.states": {"fulgurite.base.state": "RunningStage TrainerFn TrainerState TrainerStatus"},
    "trainer.trainer": {"fulgurite": "Trainer"},
    "tuner": {"fulgurite.tuner": "Tuner"},
    "tuner.tuning": {"fulgurite.tuner": "Tuner"},
    "utilities": UTILITIES,
    "utilities.combined_loader": {"fulgurite.runtime.combined": "CombinedLoader"},
    "utilities.data": {"fulgurite.compat.utilities": "extract_batch_size"},
    "utilities.enums": {"fulgurite.compat.utilities": "GradClipAlgorithmType LightningEnum"},
    "utilities.exceptions": ERRORS,
    "utilities.grads": {"fulgurite.compat.utilities": "grad_norm"},
    "utilities.memory": {"fulgurite.compat.utilities": "garbage_collection_cuda recursive_detach"},
    "utilities.model_helpers": {"fulgurite.compat.utilities": "is_overridden"},
    "utilities.model_summary": SUMMARY,
    "utilities.model_summary.model_summary": SUMMARY,
    "utilities.parsing": {
        "fulgurite.core.hparams": "AttributeDict",
        "fulgurite.compat.utilities": "is_picklable lightning_getattr lightning_hasattr lightning_setattr",
    },
    "utilities.rank_zero": RANK_ZERO,
    "utilities.seed": SEED,
    "utilities.types": TYPES,
    "utilities.warnings": {"fulgurite.base.rank": "PossibleUserWarning"},
}

FABRIC: dict[str, Names] = {
    "": {"fulgurite": "seed_everything"},
    "plugins": {"fulgurite.plugins": "CheckpointIO TorchCheckpointIO"} | ENVIRONMENTS,
    "plugins.environments": ENVIRONMENTS,
    "utilities": {
        "fulgurite.base.rank": UTILITIES["fulgurite.base.rank"],
        "fulgurite.base.tree": "move_data_to_device",
        "fulgurite.core.hparams": "AttributeDict",
        "fulgurite.compat.utilities": "LightningEnum disable_possible_user_warnings is_shared_filesystem "
        "suggested_max_num_workers",
    },
    "utilities.apply_func": {"fulgurite.base.tree": "move_data_to_device"},
    "utilities.data": {"fulgurite.core.hparams": "AttributeDict"},
    "utilities.exceptions": {"fulgurite.base.errors": "MisconfigurationException"},
    "utilities.rank_zero": RANK_ZERO,
    "utilities.seed": SEED,
    "utilities.throughput": {
        "fulgurite.callbacks.throughput_monitor": "Throughput",
        "fulgurite.core.flops": "measure_flops",
    },
    "utilities.warnings": {"fulgurite.base.rank": "PossibleUserWarning"},
}

TREES: dict[str, dict[str, Names]] = {
    "lightning": {"": CORE},
    "lightning.fabric": FABRIC,
    "lightning.pytorch": PYTORCH,
    "lightning_fabric": FABRIC,
    "pytorch_lightning": PYTORCH,
}


def _by_module() -> dict[str, dict[str, str]]:
    table = {}
    for package, tree in TREES.items():
        for old, ours in tree.items():
            module = f"{package}.{old}" if old else package
            table[module] = {name: new for new, listed in ours.items() for name in listed.split()}
    return table


#: old module, full name -> {name: the module of ours that has it}
TABLE: dict[str, dict[str, str]] = _by_module()
