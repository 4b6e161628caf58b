"""What tests share: clocks, servers, ledgers, projects."""
