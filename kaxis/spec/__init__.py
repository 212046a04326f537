"""What is asked, as plain data: source, net, learner, training, and the cells, sweeps and studies made of them."""
