"""What tests share: encoders without weights, music made here, hostile files, servers, a browser."""
