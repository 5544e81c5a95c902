//! Flags of other programs (timm, torchvision's references, FFCV, Lightning) and what is ours for each: a guess by spelling would mislead.

/// What a foreign flag gets for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Our flag or command for it.
    Ours(&'static str),
    /// There is none, and why.
    No(&'static str),
}

use Answer::{No, Ours};

const ONE_GPU: &str = "this version trains on one GPU";
const NOT_BUILT: &str = "not available in this version";
const ALWAYS: &str = "always on: nothing to ask for";

/// Flags of training, without their dashes and with `-` for `_`.
const TRAINING: &[(&[&str], Answer)] = &[
    (&["amp", "native-amp", "apex-amp", "amp-dtype", "fp16", "half", "use-amp"], Ours("--precision bf16 (the default on a GPU)")),
    (&["fp32", "no-amp"], Ours("--precision fp32")),
    (&["img-size", "input-size", "imgsz", "image-size", "resolution", "res"], Ours("--train-crop-size N --val-crop-size N")),
    (&["lr-scheduler", "scheduler", "lr-schedule", "schedule"], Ours("--sched cosine, or another of its values")),
    (&["learning-rate", "max-lr", "base-lr"], Ours("--lr RATE")),
    (&["data-path", "data-dir", "dataset", "train-dataset", "train-dir", "root"], Ours("--data DIR, a folder that `pack` wrote")),
    (&["val-dataset", "val-dir", "val-split", "eval-data", "test-data"], Ours("--val DIR, a folder that `pack` wrote")),
    (&["output-dir", "save-dir", "log-dir", "out-dir", "logdir", "work-dir", "default-root-dir"], Ours("--output DIR")),
    (&["arch", "net", "network", "backbone"], Ours("--model resnet50")),
    (&["print-freq", "log-every", "log-every-n-steps"], Ours("--log-interval N")),
    (&["num-workers", "loader-threads", "dataloader-workers", "nthreads"], Ours("--workers N")),
    (&["start-epoch", "resume-from", "checkpoint", "ckpt-path", "resume-path"], Ours("--resume auto --output DIR, or --resume FILE")),
    (&["pretrained", "initial-checkpoint", "finetune", "weights"], Ours("--init FILE")),
    (&["gpu", "gpus", "gpu-id", "cuda", "local-rank"], Ours("--device cuda:N")),
    (&["no-cuda", "cpu"], Ours("--device cpu")),
    (&["lr-warmup-epochs", "warmup"], Ours("--warmup-epochs N")),
    (&["lr-warmup-decay", "warmup-factor"], Ours("--warmup-lr RATE, the rate of the first step")),
    (&["lr-warmup-method"], No("the warm-up is linear")),
    (&["lr-step-size", "step-size"], Ours("--sched step --decay-epochs N")),
    (&["lr-milestones", "milestones", "lr-steps", "lr-step"], Ours("--sched multistep --decay-milestones 30,60,80")),
    (&["lr-gamma", "gamma", "lr-decay", "lr-decay-rate"], Ours("--decay-rate FACTOR")),
    (&["lr-min", "eta-min", "lr-end"], Ours("--min-lr RATE")),
    (&["optimizer", "optim", "solver"], Ours("--opt sgd, or another of its values")),
    (&["betas", "beta1", "beta2", "adam-beta1", "adam-beta2"], Ours("--opt-betas 0.9,0.999")),
    (&["eps", "adam-epsilon"], Ours("--opt-eps EPS")),
    (&["smoothing", "ls"], Ours("--label-smoothing SHARE")),
    (&["clip-grad", "max-grad-norm", "gradient-clip-val", "clip"], Ours("--clip-grad-norm NORM")),
    (&["clip-mode"], No("gradients are clipped by their global norm (--clip-grad-norm)")),
    (&["ema", "use-ema"], Ours("--model-ema")),
    (&["ema-decay", "model-ema-steps"], Ours("--model-ema-decay DECAY")),
    (&["grad-accum-steps", "gradient-accumulation-steps", "accumulate", "accum-iter", "accumulate-grad-batches"], Ours("--grad-accum N")),
    (&["batch", "bs", "train-batch-size", "micro-batch"], Ours("--batch-size N")),
    (&["steps", "max-iters", "iterations", "total-steps", "train-steps"], Ours("--max-steps N")),
    (&["max-epochs", "num-epochs", "n-epochs"], Ours("--epochs N")),
    (&["val-every", "eval-interval", "eval-every", "check-val-every-n-epoch"], Ours("--val-interval N")),
    (&["checkpoint-every", "save-freq", "save-interval", "checkpoint-freq"], Ours("--save-every N")),
    (&["test-only", "evaluate", "eval-only", "eval", "validate"], Ours("imagenet-engine eval --data DIR --weights FILE")),
    (&["scale", "crop-scale"], Ours("--rrc-scale LOW,HIGH")),
    (&["ratio"], No("random crops have the aspect ratios 3/4 to 4/3")),
    (&["hflip", "flip"], No("images are flipped with probability 0.5; --augment none turns it off with the random crops")),
    (&["no-aug"], Ours("--augment none")),
    (&["interpolation"], Ours("--val-interpolation bilinear; training crops are bilinear with antialiasing")),
    (&["train-interpolation"], No("training crops are bilinear with antialiasing")),
    (&["deterministic", "use-deterministic-algorithms"], No(ALWAYS)),
    (&["channels-last"], No("always on: tensors are NHWC")),
    (&["compile", "torchcompile", "torchscript", "jit", "cudnn-benchmark", "pin-memory", "pin-mem", "fast-norm"], No("nothing to ask for")),
    (&["cache-dataset", "in-memory", "use-dali"], No("packed shards are read from disk and the page cache")),
    (&["world-size", "dist-url", "dist-backend", "nproc-per-node", "multiprocessing-distributed", "sync-bn", "rank", "nodes"], No(ONE_GPU)),
    (
        &[
            "mixup",
            "mixup-alpha",
            "mixup-prob",
            "cutmix",
            "cutmix-alpha",
            "auto-augment",
            "aa",
            "ra-magnitude",
            "ra-sampler",
            "aug-repeats",
            "random-erase",
            "reprob",
            "remode",
            "color-jitter",
            "drop",
            "drop-path",
            "drop-rate",
            "bce-loss",
            "jsd-loss",
            "distill",
        ],
        No(NOT_BUILT),
    ),
    (&["log-wandb", "wandb", "tensorboard", "logger", "report-to"], No("every run writes metrics.jsonl, one JSON object a line")),
    (&["num-classes", "nb-classes", "n-classes", "classes"], No("the classes are those of the packed images (--data)")),
    (&["mean", "std"], No("packed images carry them: pack records the mean and std of their kind")),
];

/// Flags of evaluation and prediction.
const EVALUATION: &[(&[&str], Answer)] = &[
    (&["checkpoint", "ckpt-path", "resume", "model-path", "pretrained"], Ours("--weights FILE")),
    (&["img-size", "input-size", "image-size", "imgsz", "resolution", "crop-size"], Ours("--val-crop-size N")),
    (&["resize", "resize-size"], Ours("--val-resize-size N")),
    (&["interpolation"], Ours("--val-interpolation bilinear")),
    (&["amp", "fp16", "half"], Ours("--precision bf16 (the default on a GPU)")),
    (&["data-path", "data-dir", "dataset", "val"], Ours("--data DIR")),
    (&["arch"], Ours("--model resnet50, where the file does not say it")),
    (&["topk", "top-k"], Ours("--top N")),
    (&["class-map", "classes", "labels"], Ours("--class-names FILE")),
    (&["gpu", "gpus", "cuda"], Ours("--device cuda:N")),
    (&["no-cuda", "cpu"], Ours("--device cpu")),
    (&["use-ema", "model-ema"], Ours("--ema")),
];

/// Flags of packing.
const PACKING: &[(&[&str], Answer)] = &[
    (&["data", "data-path", "data-dir", "dataset", "src", "source-dir", "root"], Ours("--input PATH")),
    (&["out", "dest", "output-dir", "write-path"], Ours("--output DIR")),
    (&["max-resolution"], Ours("--encoding jpeg --max-side N")),
    (&["jpeg-quality"], Ours("--encoding jpeg --quality N")),
    (&["write-mode", "format", "compress-probability"], Ours("--encoding raw, or jpeg")),
    (&["num-workers", "workers", "threads", "nthreads"], Ours("--jobs N")),
    (&["img-size", "image-size", "size", "short-side"], Ours("--resize N, the short side")),
];

/// The answer to `flag` (without dashes) of the command `called`.
pub fn answer(called: Option<&str>, flag: &str) -> Option<Answer> {
    let table = match called? {
        "train" | "schedule" | "lr-find" => TRAINING,
        "eval" | "predict" => EVALUATION,
        "pack" => PACKING,
        _ => return None,
    };
    let flag = flag.replace('_', "-").to_lowercase();
    let flag = flag.split('=').next().unwrap_or(&flag);
    table.iter().find(|(names, _)| names.contains(&flag)).map(|(_, answer)| *answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn flags(command: &str) -> Vec<String> {
        let cli = Cli::command();
        let found = cli.find_subcommand(command).unwrap();
        let long = found.get_arguments().filter_map(|a| a.get_long().map(str::to_owned));
        long.chain(found.get_arguments().flat_map(|a| a.get_all_aliases().unwrap_or_default()).map(str::to_owned)).collect()
    }

    /// No flag of ours is called foreign, none has two answers, and every flag that an answer names is there.
    #[test]
    fn answers_name_flags_that_there_are() {
        for (command, table) in [("train", TRAINING), ("eval", EVALUATION), ("predict", EVALUATION), ("pack", PACKING)] {
            let mut seen = Vec::new();
            let (own, both) = (flags(command), [flags("eval"), flags("predict"), flags(command)].concat());
            for (names, answer) in table {
                for name in *names {
                    assert!(
                        !own.iter().any(|flag| flag == name) || command == "eval" || command == "predict",
                        "{command} --{name} is ours"
                    );
                    assert!(!seen.contains(name), "--{name} stands twice");
                    seen.push(name);
                }
                let (Ours(text) | No(text)) = answer;
                for flag in text.split_whitespace().filter_map(|word| word.trim_matches(['(', ')', ',', '`']).strip_prefix("--")) {
                    assert!(both.iter().any(|own| own == flag), "{command}: no flag --{flag}");
                }
            }
        }
    }
}
