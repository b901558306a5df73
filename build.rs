// SPDX-License-Identifier: MPL-2.0
//! Records the version for `plugin_define!` and where libtorch lies, so that the plugin runs with
//! nothing set but `GST_PLUGIN_PATH`.

fn main() {
    gst_plugin_version_helper::info();

    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
