// SPDX-License-Identifier: Apache-2.0
//! Proxies as the environment names them (`HTTP_PROXY`, `HTTPS_PROXY`,
//! `ALL_PROXY`, `NO_PROXY`, in either case). This machine is never reached
//! through one.

use reqwest::{NoProxy, Proxy};

use crate::image::error::{Error, Result};

/// Never asked of a proxy, whatever `NO_PROXY` says.
const HERE: &str = "localhost,127.0.0.0/8,::1";

/// The proxies for requests of this process, the more special first.
pub fn from_env() -> Result<Vec<Proxy>> {
    let variable = |name: &'static str| {
        let value = std::env::var(name.to_ascii_lowercase()).ok().filter(|v| !v.is_empty());
        value.or_else(|| std::env::var(name).ok().filter(|v| !v.is_empty())).map(|v| (name, v))
    };
    let exempt = variable("NO_PROXY").map(|(_, list)| list).unwrap_or_default();
    let exempt = format!("{HERE},{exempt}");
    let mut proxies = Vec::new();
    // In a CGI script HTTP_PROXY is a request's `Proxy:` header (CVE-2016-5385).
    if std::env::var_os("REQUEST_METHOD").is_none()
        && let Some((name, url)) = variable("HTTP_PROXY")
    {
        proxies.push(made(name, &url, |url| Proxy::http(url))?);
    }
    if let Some((name, url)) = variable("HTTPS_PROXY") {
        proxies.push(made(name, &url, |url| Proxy::https(url))?);
    }
    if let Some((name, url)) = variable("ALL_PROXY") {
        proxies.push(made(name, &url, |url| Proxy::all(url))?);
    }
    Ok(proxies.into_iter().map(|proxy| proxy.no_proxy(NoProxy::from_string(&exempt))).collect())
}

/// The URL may hold a password: no error quotes it.
fn made(name: &str, url: &str, make: impl Fn(&str) -> reqwest::Result<Proxy>) -> Result<Proxy> {
    let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    make(&whole).map_err(|_| Error::Proxy(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_named_by_its_variable_only() {
        let error =
            made("HTTPS_PROXY", "http://me:hunter2@[", |url| Proxy::https(url)).unwrap_err();
        assert_eq!(error.to_string(), "the proxy in HTTPS_PROXY is not a valid URL");
        assert!(made("HTTPS_PROXY", "proxy.example.com:3128", |url| Proxy::https(url)).is_ok());
    }
}
