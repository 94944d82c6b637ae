//! Loading: capabilities, progress, and errors that say what to do.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use parkway_core::model::{ConstraintKind, Model};
use parkway_llama::{DeviceKind, GpuLayers, Llama, LoadError, devices};

use crate::{alone, block_on, model_path, shared, user};

#[test]
fn capabilities_name_the_model_its_hashes_and_where_it_runs() {
    let _alone = alone();
    let capabilities = shared().capabilities();
    assert_eq!(capabilities.context_length, Some(2048));
    let all = [ConstraintKind::JsonSchema, ConstraintKind::Choice, ConstraintKind::Regex, ConstraintKind::Lark];
    assert_eq!(capabilities.constraints, all);
    assert!(capabilities.logprobs);
    assert_eq!(capabilities.model_hash.as_ref().map(String::len), Some(64));
    assert_eq!(capabilities.template_hash.as_ref().map(String::len), Some(64));
    if std::env::var_os("PARKWAY_TEST_GGUF").is_none() {
        assert_eq!(capabilities.name, "SmolLM2-135M-Instruct.Q4_1");
        assert_eq!(
            capabilities.model_hash.as_deref(),
            Some("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")
        );
    }
    let on_gpu = devices().iter().any(|device| matches!(device.kind, DeviceKind::Gpu | DeviceKind::IntegratedGpu));
    assert_eq!(capabilities.device.starts_with("cpu, "), !on_gpu, "{}", capabilities.device);
}

#[test]
fn the_context_is_never_longer_than_the_model_was_trained_for() {
    let _alone = alone();
    let path = model_path();
    let progress = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&progress);
    // A second model in the same process, loaded from async code, with a name of its own.
    let config = Llama::gguf(path).name("second").context_length(1_000_000).threads(1_000).deterministic(true);
    let second = block_on(config.load_async(move |done| seen.lock().unwrap().push(done))).unwrap();
    assert!(second.capabilities().context_length.unwrap() <= 131_072);
    assert_eq!(second.capabilities().name, "second");
    assert_eq!(
        block_on(second.chat(user("Say hello."))).unwrap(),
        crate::deterministic::chat(user("Say hello.")).unwrap()
    );

    let progress = progress.lock().unwrap();
    assert!(progress.len() > 2 && progress.is_sorted(), "{progress:?}");
    assert_eq!(progress.last(), Some(&1.0));
}

#[test]
fn dropping_the_last_handle_ends_the_thread() {
    let _alone = alone();
    // By name, since the test harness starts and ends threads of its own. Elsewhere than on Linux this counts none.
    let threads = || {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        tasks.filter(|task| fs::read(task.path().join("comm")).is_ok_and(|name| name == b"parkway-llama\n")).count()
    };
    let calls = Arc::new(AtomicU32::new(0));
    let model = Llama::gguf(model_path()).context_length(256).threads(1).load({
        let calls = Arc::clone(&calls);
        move |_| _ = calls.fetch_add(1, Ordering::Relaxed)
    });
    let model = model.unwrap();
    let before = threads();
    let mut request = user("Count to a hundred.");
    request.max_tokens = 200;
    let mut deltas = block_on(model.stream(request)).unwrap();
    drop(model.clone());
    drop(model);
    if cfg!(target_os = "linux") {
        assert_eq!(threads(), before - 1);
    }
    let last = block_on(async {
        let mut last = None;
        while let Some(delta) = deltas.next().await {
            last = Some(delta);
        }
        last
    });
    assert_eq!(last, Some(Err(parkway_core::model::ModelError::Cancelled)));
    assert!(calls.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_load_error_names_the_path_and_the_way_out() {
    let _alone = alone();
    let folder = std::env::temp_dir().join(format!("parkway-llama-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("m.gguf");
    let load = || Llama::gguf(&path).load(|_| {}).unwrap_err();

    assert_eq!(load(), LoadError::Missing { path: path.clone() });
    assert!(load().to_string().contains("parkway models pull smollm2-135m-instruct"));
    fs::write(&path, "<html>").unwrap();
    assert_eq!(load(), LoadError::NotGguf { path: path.clone() });
    fs::write(&path, "").unwrap();
    assert_eq!(load(), LoadError::NotGguf { path: path.clone() });
    fs::write(&path, "GGUF and then nothing that makes sense").unwrap();
    assert_eq!(load(), LoadError::Refused { path: path.clone() });
    assert!(load().to_string().contains(path.to_str().unwrap()));
    assert_eq!(Llama::gguf(&folder).load(|_| {}).unwrap_err().code(), "model_unreadable");
    fs::remove_dir_all(&folder).unwrap();

    let short = Llama::gguf(model_path()).context_length(3).load(|_| {}).unwrap_err();
    assert_eq!(short.code(), "model_config");
}

#[test]
fn all_layers_on_a_gpu_that_is_not_there_is_an_error() {
    let _alone = alone();
    let named = Llama::gguf(model_path()).context_length(256).gpus(["CUDA7"]).load(|_| {}).unwrap_err().to_string();
    assert!(named.contains("`gpus` names `CUDA7`"), "{named}");
    let loaded = Llama::gguf(model_path()).context_length(256).gpu_layers(GpuLayers::All).load(|_| {});
    let gpu = devices().iter().any(|device| matches!(device.kind, DeviceKind::Gpu | DeviceKind::IntegratedGpu));
    match loaded {
        Ok(model) => assert!(gpu && model.capabilities().device.ends_with("layers)")),
        Err(error) => assert!(!gpu && error.code() == "model_no_gpu", "{error}"),
    }
}

#[test]
fn devices_tell_their_memory() {
    let _alone = alone();
    let devices = devices();
    let cpu = devices.iter().find(|device| device.kind == DeviceKind::Cpu).unwrap();
    assert!(cpu.memory_total > 1 << 28 && cpu.memory_free <= cpu.memory_total, "{cpu:?}");
}
