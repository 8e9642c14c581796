//! A request whose body is announced and never comes to its end, which no ordinary client sends.

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::good::{Credential, Good};

/// Announces so many bytes, sends one of them and waits for the status.
pub async fn status(base: &str, good: &Good, credential: &Credential, announced: usize) -> u16 {
    let address = base.strip_prefix("http://").expect("the server speaks HTTP");
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let mut stream = BufReader::new(stream);
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {announced}\r\n",
        good.method, good.path
    );
    for (name, value) in credential.headers() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n{");
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("the server answers");
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("not a status line: {line:?}"))
}
