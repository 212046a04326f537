"""Class names of the image sets, in the order of their label bytes."""

CIFAR10 = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())

CIFAR100_COARSE = tuple(
    """aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
    insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
    medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2""".split()
)

CIFAR100_FINE = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
    forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
    mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
    sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm""".split()
)

STL10 = tuple("airplane bird car cat deer dog horse monkey ship truck".split())

FASHION_MNIST = tuple("t-shirt/top trouser pullover dress coat sandal shirt sneaker bag ankle_boot".split())

PATHMNIST = tuple(
    """adipose background debris lymphocytes mucus smooth_muscle normal_colon_mucosa cancer-associated_stroma
    colorectal_adenocarcinoma_epithelium""".split()
)

DERMAMNIST = tuple(
    """actinic_keratoses_and_intraepithelial_carcinoma basal_cell_carcinoma benign_keratosis-like_lesions dermatofibroma
    melanoma melanocytic_nevi vascular_lesions""".split()
)

BLOODMNIST = tuple(
    "basophil eosinophil erythroblast immature_granulocytes lymphocyte monocyte neutrophil platelet".split()
)

CLASSES: dict[str, tuple[str, ...]] = {
    "cifar10": CIFAR10,
    "cifar100": CIFAR100_FINE,
    "fashion_mnist": FASHION_MNIST,
    "stl10": STL10,
    "pathmnist": PATHMNIST,
    "dermamnist": DERMAMNIST,
    "bloodmnist": BLOODMNIST,
}
